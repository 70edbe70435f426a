"""A network in a file without code: weights as safetensors, the network as JSON of allow-listed ATen operators.

text.py     the engine's graph as JSON and back, every part checked
allowed.py  the operators, and what each of them must not be given
trial.py    the graph tried on shapes alone, then on one blank sample: sizes, cost, answers
module.py   an nn.Module that runs the graph
reader.py   a packed file read at the boundary
"""

FORMAT = "landscape packed network 1"  # value of the key "format" in the metadata
CONSTANT = "@constant/"  # prefix of constants among the tensors of the file
