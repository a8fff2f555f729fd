"""A page at home: photos come in by a browser, a job is painted in a process of its own, its events go back to the page.

`probe` and `decoder` look at uploads, `worker` paints, `queue` keeps the order, `security` and `app` are the door.
"""
