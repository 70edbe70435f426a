"""Loads the bad files without a sandbox, to prove that they are dangerous. Never imported by other code.

Run as a script in a process with resource limits. A line of JSON in: {"path", "loader"}; a line out: the exit code and
output of the fork that loaded the file, {"code", "said"}.
"""

import json
import os
import resource
import sys
import warnings
from typing import Any

import torch


def load(path: str, loader: str) -> str:
    """Load a file as `loader` does, and describe the result."""
    content: Any = torch.load(path, weights_only=loader == "torch, weights only")
    tensors = [value for value in content.values() if isinstance(value, torch.Tensor)] if type(content) is dict else []
    return f"loaded {sum(tensor.numel() * tensor.element_size() for tensor in tensors)} bytes of tensors"


def main() -> None:
    warnings.simplefilter("ignore")
    for line in sys.stdin:
        request = json.loads(line)
        receiving, sending = os.pipe()
        child = os.fork()
        if child == 0:
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
            resource.setrlimit(resource.RLIMIT_CPU, (20, 20))
            try:
                said = load(request["path"], request["loader"])
            except Exception as error:
                said = f"{type(error).__name__}: {error}"[:300]
            os.write(sending, said.encode())
            os._exit(0)
        os.close(sending)
        with os.fdopen(receiving, "rb") as pipe:
            said = pipe.read().decode()
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        print(json.dumps({"code": code, "said": said}), flush=True)


if __name__ == "__main__":
    main()
