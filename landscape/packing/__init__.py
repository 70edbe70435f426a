"""Packed networks, files without code: weights as safetensors, the network as JSON of allow-listed ATen operators.

graph_json.py   the engine's graph as JSON and back, every part checked
allowlist.py    the allowed operators
arguments.py    arguments have the types that torch's schema says
dry_run.py      runs the graph on shapes alone at several batches, then on one blank batch
linearity.py    sizes are linear in the batch
cost.py         what an operator costs, from shapes alone
module.py       an nn.Module that runs the graph
trials.py       samples, and weights around the center, on which a packed network and its original are compared
original.py     what the original module answered; the comparison
claims.py       what a file says of its original is possible
reader.py       reads a packed file in the sandbox
pack.py         `landscape.pack`
"""

FORMAT = "landscape packed network 2"  # value of the key "format" in the metadata
EARLIER = ("landscape packed network 1",)  # without answers of the original module; read as ever
CONSTANT = "@constant/"  # prefix of constants among the tensors of the file
ORIGINAL = "@original/"  # prefix of what it keeps of the original module
