"""What the networks are trained on: crops and views of photographs, drawn negatives, targets.

``crops`` and ``augment`` make the batches of the classifier, ``views`` and ``targets`` those of the
detector. ``negatives`` draws pictures without a face, and ``mining`` finds a detector's mistakes.
``teachers`` and ``pseudo_labels`` find faces that nobody labelled.
"""
