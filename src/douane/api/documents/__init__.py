"""The JSON documents that clients get: of images, members and tasks, the schemas, and the OpenAPI document. No I/O."""
