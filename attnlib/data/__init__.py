"""What the models read: toy tasks, text corpora, subwords, batches, files."""
