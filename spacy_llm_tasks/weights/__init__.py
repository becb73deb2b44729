"""Weights in and out: checkpoint layouts of other libraries, and verified downloads.

families    how BERT, RoBERTa, ELECTRA and DistilBERT name their settings and parameters
checksum    the sha256 of a file
checkpoint  a folder with config.json and model.safetensors <-> config and parameters
download    fetches published weights and checks what it got
"""
