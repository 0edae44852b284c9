"""The steps of ``python -m utils.train``: train either model on a folder, or export both.

``dataset`` reads and splits the folder and opens the folder of the run. ``classifier`` and
``detector`` train, ``report`` says how good the trained model is, and ``litert`` exports.
"""
