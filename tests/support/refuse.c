/* SPDX-License-Identifier: MIT */
#include "support/refuse.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static bool install(unsigned nr, unsigned argument, uint32_t mask,
		    uint32_t value, unsigned verdict, unsigned flags)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 4),
		/* the low half, on a little-endian machine */
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 (unsigned)offsetof(struct seccomp_data, args) +
				 8 * argument),
		BPF_STMT(BPF_ALU | BPF_AND | BPF_K, mask),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, verdict),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = {
		.len = sizeof(code) / sizeof(code[0]),
		.filter = code,
	};

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	       syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &filter) ==
		       0;
}

bool refuse(unsigned nr, unsigned argument, uint32_t mask, uint32_t value,
	    unsigned error)
{
	return install(nr, argument, mask, value, SECCOMP_RET_ERRNO | error, 0);
}

bool refuse_and_kill(unsigned nr, unsigned argument, uint32_t mask,
		     uint32_t value)
{
	return install(nr, argument, mask, value, SECCOMP_RET_KILL_THREAD,
		       SECCOMP_FILTER_FLAG_TSYNC);
}
