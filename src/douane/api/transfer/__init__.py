"""The bytes of images: uploads, inline or spooled, and downloads."""
