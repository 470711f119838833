"""Images in a bucket of an object store that speaks S3, by obstore.

* `store.py`: the store, `S3Store`. `staged.py`: bytes that are being written. `stored.py`: bytes that are read.
* `records.py`: what lies where in the bucket, and the small JSON objects that say which bytes are an image.
* `bucket.py`: the calls to the server, whose errors are those of `errors.py`. `options.py`: what the operator
  configures, and the credentials.

The bytes of a key lie in objects below ``data/KEY/``, its segments. An image becomes visible by one request: the small
object ``images/ID``, which names the key and the segments, is created on the condition that there is none. The store
sees no claim of another process: whose staged bytes are is decided by the catalog's leases.
"""
