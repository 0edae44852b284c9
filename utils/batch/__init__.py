"""A job over files: in this process, on local processes, or on a Dask cluster.

``Job`` cuts a list of files into shards and gives them to workers. The result of a shard is one
file that appears when it is whole, so a run that was ended goes on with the shards that have none.
A file that ends its worker is named and left out. The outcomes are in the order of the files, with
any number of workers. ``map_files`` calls a function with each file, in threads or as a job.
"""

from utils.batch.batch import Batch, map_files
from utils.batch.job import Job
from utils.batch.shards import JobError, Outcome, list_results
from utils.batch.threads import map_in_threads

__all__ = ["Batch", "Job", "JobError", "Outcome", "list_results", "map_files", "map_in_threads"]
