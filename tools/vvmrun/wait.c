/* SPDX-License-Identifier: MIT */
/*
 * wait.c - a program that somebody waits for: --stat and --verbose.
 *
 * The program is our child then, and to whoever started us we must look like
 * it. So
 *   - its exit status becomes ours, and if a signal has killed it, we die of
 *     the same (without a core of our own);
 *   - what is sent to us is passed on: SIGTERM, SIGHUP, SIGUSR1, ... A SIGINT
 *     or SIGQUIT from the terminal is not: the terminal has sent it to the
 *     program as well, as to all processes of the group;
 *   - if it stops, we stop, and it goes on when we do.
 * All of them are blocked and read from a signalfd, in one loop with the
 * socket below.
 *
 * Figures. The statistics of a process lie in a file that it removes when it
 * ends; a mapping of that file shows the last figures even after the process
 * was killed. So that the shortest program is not missed, the preload object
 * connects to our socket and goes on when we have mapped its file. Its pid we
 * have from the kernel (SO_PEERCRED), and strangers (other users) are sent
 * away. With --follow each process calls.
 *
 * --stat is vvmstat(1), started when the program has called, with standard
 * error for its output; it ends with the program.
 */
#define _GNU_SOURCE 1
#include "vvmrun/wait.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/tool.h"
#include "vvmrun/report.h"

/* Passed on. SIGTSTP and its kind stop us as they stop the program. */
static const int passed_on[] = {SIGTERM, SIGHUP,   SIGINT,  SIGQUIT, SIGUSR1,
				SIGUSR2, SIGWINCH, SIGALRM, SIGCONT, SIGPIPE};

enum { PASSED_ON = sizeof(passed_on) / sizeof(passed_on[0]) };

struct waiter {
	struct run *run;
	struct report report;
	sigset_t old_mask;
	struct sigaction old_chld; /* what whoever started us has set */
	int signals, socket;	   /* descriptors */
	pid_t program, vvmstat;
	bool ended;
	int status; /* of waitpid(2), once ended */
};

/* ------------------------------------------------------------------ */
/* The socket								*/

static int open_socket(struct run *r)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	socklen_t bytes;

	snprintf(r->wishes.report, sizeof(r->wishes.report), "vvmrun.%d.%llx",
		 (int)getpid(), (unsigned long long)tool_now_us());
	strcpy(addr.sun_path + 1, r->wishes.report);
	bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
			    strlen(r->wishes.report));
	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, bytes) ||
	    listen(fd, 64))
		tool_die(RUN_FAILED, "socket: %s", strerror(errno));
	return fd;
}

static void exec_vvmstat(pid_t program, double seconds)
{
	char path[PATH_MAX + 16], pid[16], interval[32];

	if (!tool_find(path, sizeof(path), "vvmstat", "vvmstat"))
		tool_die(RUN_FAILED, "cannot find vvmstat");
	snprintf(pid, sizeof(pid), "%d", (int)program);
	snprintf(interval, sizeof(interval), "%g", seconds);
	dup2(STDERR_FILENO, STDOUT_FILENO);
	unsetenv("LD_PRELOAD");
	execl(path, "vvmstat", "-p", pid, interval, NULL);
	tool_die(RUN_FAILED, "%s: %s", path, strerror(errno));
}

static void start_vvmstat(struct waiter *w)
{
	fflush(NULL);
	w->vvmstat = fork();
	if (w->vvmstat)
		return;
	sigprocmask(SIG_SETMASK, &w->old_mask, NULL);
	exec_vvmstat(w->program, w->run->stat_s);
}

/* A process says hello, and goes on when we close the connection. */
static void answer(struct waiter *w)
{
	int fd = accept4(w->socket, NULL, NULL, SOCK_CLOEXEC);
	struct ucred peer;
	socklen_t bytes = sizeof(peer);

	if (fd < 0)
		return;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &bytes) == 0 &&
	    (peer.uid == geteuid() || geteuid() == 0)) {
		report_add(&w->report, peer.pid);
		if (w->run->stat_s > 0 && !w->vvmstat && peer.pid == w->program)
			start_vvmstat(w);
	}
	close(fd);
}

/* ------------------------------------------------------------------ */
/* Signals								*/

static void block(struct waiter *w)
{
	static const struct sigaction by_default = {.sa_handler = SIG_DFL};
	sigset_t set;
	unsigned i;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	/* Ignored, it would not come, nor would there be a status. */
	sigaction(SIGCHLD, &by_default, &w->old_chld);
	for (i = 0; i < PASSED_ON; i++)
		sigaddset(&set, passed_on[i]);
	sigprocmask(SIG_BLOCK, &set, &w->old_mask);
	w->signals = signalfd(-1, &set, SFD_CLOEXEC);
	if (w->signals < 0)
		tool_die(RUN_FAILED, "signalfd: %s", strerror(errno));
}

static bool from_terminal(const struct signalfd_siginfo *si)
{
	return si->ssi_code == SI_KERNEL &&
	       (si->ssi_signo == SIGINT || si->ssi_signo == SIGQUIT ||
		si->ssi_signo == SIGWINCH);
}

/* Stops as the program has; returns when we are to go on. */
static void stop_too(void)
{
	raise(SIGSTOP);
}

static void reap(struct waiter *w)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG | WUNTRACED)) > 0) {
		if (pid != w->program) /* or an orphan, where we are init */
			continue;
		if (WIFSTOPPED(status)) {
			stop_too();
			kill(w->program, SIGCONT);
			continue;
		}
		w->ended = true;
		w->status = status;
	}
}

static void on_signal(struct waiter *w)
{
	struct signalfd_siginfo si;

	if (read(w->signals, &si, sizeof(si)) != (ssize_t)sizeof(si))
		return;
	if (si.ssi_signo == SIGCHLD)
		reap(w);
	else if (!from_terminal(&si) && si.ssi_signo != SIGPIPE)
		kill(w->program, (int)si.ssi_signo);
}

/* ------------------------------------------------------------------ */

_Noreturn static void child(const struct waiter *w)
{
	close(w->signals);
	sigaction(SIGCHLD, &w->old_chld, NULL);
	sigprocmask(SIG_SETMASK, &w->old_mask, NULL);
	run_exec(w->run);
}

static void wait_for_end(struct waiter *w)
{
	struct pollfd fds[] = {{.fd = w->signals, .events = POLLIN},
			       {.fd = w->socket, .events = POLLIN}};

	while (!w->ended) {
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			tool_die(RUN_FAILED, "poll: %s", strerror(errno));
		if (fds[1].revents)
			answer(w);
		if (fds[0].revents)
			on_signal(w);
	}
}

/* Dies as the program has. */
static int same_end(const struct waiter *w)
{
	static const struct rlimit no_core;
	sigset_t all;

	if (!WIFSIGNALED(w->status))
		return WEXITSTATUS(w->status);
	fflush(NULL);
	setrlimit(RLIMIT_CORE, &no_core);
	signal(WTERMSIG(w->status), SIG_DFL);
	sigfillset(&all);
	kill(getpid(), WTERMSIG(w->status));
	sigprocmask(SIG_UNBLOCK, &all, NULL);
	return 128 + WTERMSIG(w->status); /* it could not kill us */
}

/* NULL: no file was asked for. */
static FILE *open_output(const struct run *r)
{
	FILE *f = r->output ? fopen(r->output, "we") : NULL;

	if (!f && r->output)
		tool_die(RUN_FAILED, "%s: %s", r->output, strerror(errno));
	return f;
}

int run_and_wait(struct run *r)
{
	struct waiter w = {.run = r};
	FILE *out = open_output(r);

	w.socket = open_socket(r);
	block(&w);
	report_begin(&w.report, r->argv);
	fflush(NULL);
	w.program = fork();
	if (w.program < 0)
		tool_die(RUN_FAILED, "fork: %s", strerror(errno));
	if (w.program == 0)
		child(&w);
	wait_for_end(&w);
	if (w.vvmstat > 0)
		waitpid(w.vvmstat, NULL, 0);
	if (r->verbose)
		report_print(&w.report, out ? out : stderr, w.status);
	if (out && fclose(out))
		tool_warn("%s: %s", r->output, strerror(errno));
	return same_end(&w);
}
