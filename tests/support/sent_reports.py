"""A report of two URLs, as SCART's add-on for providers sends it to the intake over HTTP."""

REPORT = {"ip": "192.0.2.7", "urls": "https://img.example/a/1.jpg\nhttps://img.example/a/2.jpg"}
