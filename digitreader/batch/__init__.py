"""Batch jobs: any number of pictures to readings in Parquet, each exactly once, here or on Ray."""
