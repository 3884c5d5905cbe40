/* SPDX-License-Identifier: MIT */
/*
 * launch.c - runs a program that knows nothing of libvvm under vvmrun.
 *
 * vvmrun becomes the program (it calls exec), so the child's pid is the
 * program's. It has a space from before its main() on; until then we look
 * again every few milliseconds. vvmrun is taken from beside us, as in a build
 * directory or an installation, else from the PATH.
 *
 * The program shares our terminal and process group: Ctrl-C ends both, and we
 * wait for it. When we have shown what was asked for and it still runs, we
 * wait, too: it is ours, and whoever waits for us waits for it.
 */
#define _GNU_SOURCE 1
#include "vvmstat/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/tool.h"

#define LOOK_US	     2000
#define CANNOT_START 127 /* as a shell has it */

_Noreturn static void become(char **argv, bool quiet)
{
	char path[PATH_MAX], *args[4096];
	sigset_t none;
	size_t n;
	int fd;

	if (!tool_find(path, sizeof(path), "vvmrun", "vvmrun"))
		strcpy(path, "vvmrun");
	args[0] = path;
	args[1] = "--";
	for (n = 0; argv[n] && n + 3 < sizeof(args) / sizeof(*args); n++)
		args[n + 2] = argv[n];
	args[n + 2] = NULL;
	fd = quiet ? open("/dev/null", O_RDWR | O_CLOEXEC) : -1;
	if (fd >= 0) {
		dup2(fd, STDIN_FILENO);
		dup2(fd, STDOUT_FILENO);
		dup2(fd, STDERR_FILENO);
	}
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execvp(path, args);
	tool_warn("vvmrun: %s", strerror(errno));
	_exit(CANNOT_START);
}

int launch(char **argv, bool quiet)
{
	int pid;

	fflush(stdout);
	pid = fork();
	if (pid < 0)
		tool_die(TOOL_FAILED, "fork: %s", strerror(errno));
	if (pid == 0)
		become(argv, quiet);
	return pid;
}

/* Has it ended? It stays a zombie for launch_end(). */
static bool has_ended(int pid)
{
	siginfo_t info = {.si_pid = 0};

	return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) ||
	       info.si_pid == pid;
}

bool launch_attach(struct target *t, const char *dir, int pid)
{
	char reason[SEGMENT_REASON_BYTES];

	while (target_open(t, dir, pid, reason)) {
		if (has_ended(pid))
			return false;
		usleep(LOOK_US);
	}
	return true;
}

int launch_end(int pid)
{
	int status;

	if (isatty(STDERR_FILENO) && !has_ended(pid))
		tool_warn("waiting for process %d", pid);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return TOOL_OK; /* somebody else took it */
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return TOOL_OK;
	if (WIFEXITED(status))
		tool_warn("the program ended with status %d",
			  WEXITSTATUS(status));
	else
		tool_warn("the program died of signal %d (%s)",
			  WTERMSIG(status), strsignal(WTERMSIG(status)));
	return TOOL_ENDED;
}
