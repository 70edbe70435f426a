"""The system calls that computing needs, by architecture: (x86_64, aarch64), 0 where an architecture has none.

They read and write what is open, map memory, start threads, and tell time. None opens a socket, starts a program or a
process, looks at another process, or changes names and rights of files.
"""

import os

from .bpf import Check

ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}  # <linux/audit.h>
SECCOMP = {"x86_64": 317, "aarch64": 277}

PLAIN = {
    # open files
    "read": (0, 63), "write": (1, 64), "readv": (19, 65), "writev": (20, 66), "pread64": (17, 67), "pwrite64": (18, 68),
    "preadv": (295, 69), "pwritev": (296, 70), "lseek": (8, 62), "close": (3, 57), "close_range": (436, 436),
    "dup": (32, 23), "dup2": (33, 0), "dup3": (292, 24), "pipe": (22, 0), "pipe2": (293, 59), "fstat": (5, 80),
    "fstatfs": (138, 44), "ftruncate": (77, 46), "fsync": (74, 82), "fdatasync": (75, 83), "fadvise64": (221, 223),
    "getdents": (78, 0), "getdents64": (217, 61), "poll": (7, 0), "ppoll": (271, 73), "select": (23, 0),
    "pselect6": (270, 72), "epoll_create1": (291, 20), "epoll_ctl": (233, 21), "epoll_wait": (232, 0),
    "epoll_pwait": (281, 22), "eventfd2": (290, 19),
    # names of files
    "access": (21, 0), "faccessat": (269, 48), "faccessat2": (439, 439), "stat": (4, 0), "lstat": (6, 0),
    "newfstatat": (262, 79), "statx": (332, 291), "statfs": (137, 43), "readlink": (89, 0), "readlinkat": (267, 78),
    "getcwd": (79, 17),
    # open sockets
    "sendmsg": (46, 211), "recvmsg": (47, 212), "recvfrom": (45, 207), "shutdown": (48, 210), "getsockopt": (55, 209),
    "getsockname": (51, 204), "getpeername": (52, 205),
    # memory
    "brk": (12, 214), "munmap": (11, 215), "mprotect": (10, 226), "mremap": (25, 216), "madvise": (28, 233),
    "mincore": (27, 232), "msync": (26, 227), "membarrier": (324, 283), "mbind": (237, 235),
    "get_mempolicy": (239, 236),
    # threads
    "futex": (202, 98), "set_robust_list": (273, 99), "get_robust_list": (274, 100), "rseq": (334, 293),
    "set_tid_address": (218, 96), "sched_yield": (24, 124), "sched_getaffinity": (204, 123), "getcpu": (309, 168),
    "exit": (60, 93), "exit_group": (231, 94), "restart_syscall": (219, 128), "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139), "sigaltstack": (131, 132), "rt_sigpending": (127, 136),
    "rt_sigtimedwait": (128, 137),
    # time
    "clock_gettime": (228, 113), "clock_getres": (229, 114), "clock_nanosleep": (230, 115), "nanosleep": (35, 101),
    "gettimeofday": (96, 169), "time": (201, 0), "times": (100, 153), "getrusage": (98, 165), "getitimer": (36, 102),
    "setitimer": (38, 103), "alarm": (37, 0),
    # oneself
    "getpid": (39, 172), "getppid": (110, 173), "gettid": (186, 178), "getuid": (102, 174), "geteuid": (107, 175),
    "getgid": (104, 176), "getegid": (108, 177), "getresuid": (118, 148), "getresgid": (120, 150),
    "getgroups": (115, 158), "getpgrp": (111, 0), "getpgid": (121, 155), "getsid": (124, 156), "capget": (125, 90),
    "getrlimit": (97, 163), "arch_prctl": (158, 0), "uname": (63, 160), "sysinfo": (99, 179), "getrandom": (318, 278),
    "umask": (95, 166),
}  # fmt: skip
CHECKED = {
    "open": (2, 0), "openat": (257, 56), "fcntl": (72, 25), "ioctl": (16, 29), "sendto": (44, 206), "mmap": (9, 222),
    "clone": (56, 220), "tgkill": (234, 131), "prlimit64": (302, 261), "prctl": (157, 167),
    "sched_setaffinity": (203, 122),
}  # fmt: skip

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
# F_DUPFD, GETFD, SETFD, GETFL, SETFL, DUPFD_CLOEXEC, ADD_SEALS, GET_SEALS; F_SETOWN would direct signals at others
_FCNTL = (0, 1, 2, 3, 4, 1030, 1033, 1034)
_IOCTL = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)  # TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX
_PRCTL = (1, 15, 16, 0x53564D41)  # PR_SET_PDEATHSIG, SET_NAME, GET_NAME, SET_VMA (names of memory)
_CLONE_VM, _CLONE_THREAD, _NAMESPACES = 0x100, 0x10000, 0x7E020080
_SHARED_ANONYMOUS = 0x21  # memory that RLIMIT_DATA does not count


def checks(process: int, *, reading_only: bool, gpu: bool) -> dict[str, tuple[Check, ...]]:
    """The conditions on the arguments of the calls in `CHECKED`.

    Args:
        process: the number of this process; signals and limits go to no other.
        reading_only: whether to refuse opening files for writing, where Landlock cannot say which.
        gpu: whether a CUDA driver talks to its devices; Landlock says which devices those are.
    """
    flags = (lambda argument: (Check(argument, (0,), _WRITING),)) if reading_only else lambda _: ()
    return {
        "open": flags(1),
        "openat": flags(2),
        "fcntl": (Check(1, _FCNTL),),
        "ioctl": () if gpu else (Check(1, _IOCTL),),
        "sendto": (Check(4, (0,)), Check(4, (0,), high=True)),  # no address: only where the socket is connected
        "mmap": () if gpu else (Check(3, (0x00, 0x01, 0x20), _SHARED_ANONYMOUS),),
        "clone": (Check(0, (_CLONE_VM | _CLONE_THREAD,), _CLONE_VM | _CLONE_THREAD | _NAMESPACES),),
        "tgkill": (Check(0, (process,)),),
        "prlimit64": (Check(0, (0, process)),),
        "prctl": (Check(0, _PRCTL),),
        "sched_setaffinity": (Check(0, (0,)),),
    }
