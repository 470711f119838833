"""Headers of image formats: their fields, without any judgment; also used by the plugin `format` of Douane."""
