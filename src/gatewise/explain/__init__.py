"""Why a model answered as it did, and how far that can be relied on."""
