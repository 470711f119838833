"""The bytes of an image: the rings they pass through, what fills a ring, what reads it. Knows no plugin and no verdict.

One thread fills a ring (`ring.py`): a feed (`feed.py`), with the bytes of a source or with the output of a transform.
Readers read it without a copy: threads of the engine (`reader.py`: digests, the writer) and plugin processes
(`channel_reader.py`). A slot is filled again when its slowest reader has released it; that is the back-pressure.

What a newcomer implements, and passes to `douane.engine.inspect_image`:

* `Source` (`source.py`): writes one image into a ring. Here: files, pipes and sockets, and `PushSource`
  (`push_source.py`) for images that a server receives.
* `Sink` (`sink.py`): a file that keeps what comes out. `FileSink` is one for any open file; a store's is `Staged`.
* `Reader` (`ring.py`): attached with `Ring.attach`. `ThreadReader` is one with a thread of its own.

`Target` (`target.py`) is one of several sinks of a run. `connection.py` is beside all that: how processes of a host
exchange messages and descriptors.
"""
