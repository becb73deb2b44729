"""A search index from the same run: its entries beside each shard, put together at the end."""
