/* SPDX-License-Identifier: MIT */
#include "support/access.h"

#include <setjmp.h>
#include <signal.h>

#include "support/expect.h"

__thread void *volatile live_signal_addr;
static __thread sigjmp_buf env;
static __thread volatile sig_atomic_t armed;

static void handler(int sig, siginfo_t *si, void *context)
{
	(void)context;
	if (!armed) { /* not expected: die of it */
		signal(sig, SIG_DFL);
		raise(sig);
		return;
	}
	armed = 0;
	live_signal_addr = si->si_addr;
	siglongjmp(env, sig);
}

void live_catch(void)
{
	struct sigaction sa = {.sa_flags = SA_SIGINFO | SA_ONSTACK};

	sa.sa_sigaction = handler;
	sigemptyset(&sa.sa_mask);
	live_check(sigaction(SIGSEGV, &sa, NULL) == 0);
	live_check(sigaction(SIGBUS, &sa, NULL) == 0);
}

LIVE_BARE int live_try_load(const void *p, uint64_t *value)
{
	int sig = sigsetjmp(env, 1);

	if (sig == 0) {
		armed = 1;
		*value = __atomic_load_n((const uint64_t *)p, __ATOMIC_SEQ_CST);
	}
	armed = 0;
	return sig;
}

LIVE_BARE int live_try_store(void *p, uint64_t value)
{
	int sig = sigsetjmp(env, 1);

	if (sig == 0) {
		armed = 1;
		__atomic_store_n((uint64_t *)p, value, __ATOMIC_SEQ_CST);
	}
	armed = 0;
	return sig;
}

LIVE_BARE int live_try_add(void *p, uint64_t n)
{
	int sig = sigsetjmp(env, 1);

	if (sig == 0) {
		armed = 1;
		__atomic_fetch_add((uint64_t *)p, n, __ATOMIC_SEQ_CST);
	}
	armed = 0;
	return sig;
}

LIVE_BARE int live_try_call(void *p)
{
	int sig = sigsetjmp(env, 1);

	if (sig == 0) {
		armed = 1;
		((void (*)(void))(uintptr_t)p)();
	}
	armed = 0;
	return sig;
}
