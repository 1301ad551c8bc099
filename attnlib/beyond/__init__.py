"""The same dials elsewhere: systems of the literature made of attnlib's own attention.

======================  ===================================================================
``memory``              addressing a memory by content and place; questions in several hops
``pointing``            the weights are the output: sort numbers, fence points in
======================  ===================================================================

Each is one model and one training function, learns in minutes on one core, and is measured where
the truth is known.
"""
