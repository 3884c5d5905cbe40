/* SPDX-License-Identifier: MIT */
/*
 * term.c - takes over a terminal and gives it back on every way out.
 *
 * Ways out, and what happens:
 *
 *  return, exit()	 term_close(), also from atexit()
 *  SIGINT, SIGTERM,	 TERM_QUIT: the loop ends and closes; then the tool
 *  SIGHUP, SIGQUIT	 dies of that signal, so that a shell sees it
 *  SIGTSTP (Ctrl-Z)	 give back, stop ourselves; when we go on, take over
 *			 again and ask for a repaint
 *  SIGSEGV, SIGABRT,	 the handler gives back with write(2) and tcsetattr(3),
 *  SIGBUS, SIGFPE,	 which are async-signal-safe, and dies of the signal
 *  SIGILL
 *  SIGKILL		 nobody can; `reset` helps
 *
 * All signals but the last group come through a signalfd, in the one loop of
 * the program, together with the keys in one epoll descriptor: term_fd().
 * (SIGBUS also shows that a mapped file was cut; who reads such files sets a
 * handler of its own meanwhile, and puts ours back.)
 *
 * Keys. An arrow is a sequence that begins with ESC; a lone ESC is the key.
 * A terminal sends a sequence in one piece, so what is not there when ESC
 * was read does not belong to it.
 */
#define _GNU_SOURCE 1
#include "screen/term.h"

#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

/* Alternate screen, no cursor, no wrapping at the right edge; and back. */
static const char enter[] = "\033[?1049h\033[?25l\033[?7l";
static const char leave[] = "\033[0m\033[?7h\033[?25h\033[?1049l";

/* One terminal to a process, and a signal handler must find it. */
static struct {
	volatile sig_atomic_t taken;
	struct termios saved;
	int epoll, signals;
	int end_signal;
	char input[64]; /* keys read and not yet understood */
	size_t length;
	bool atexit_done;
} term = {.epoll = -1, .signals = -1};

static const int crashes[] = {SIGSEGV, SIGABRT, SIGBUS, SIGFPE, SIGILL};

/* ------------------------------------------------------------------ */
/* Taking over and giving back						*/

/* Async-signal-safe. */
static void give_back(void)
{
	if (!term.taken)
		return;
	term.taken = 0;
	if (write(STDOUT_FILENO, leave, sizeof(leave) - 1) < 0)
		return; /* it is gone */
	tcsetattr(STDIN_FILENO, TCSADRAIN, &term.saved);
}

static int take(void)
{
	struct termios raw = term.saved;

	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	raw.c_iflag &= ~(tcflag_t)(IXON | ICRNL);
	raw.c_cc[VMIN] = 1;
	raw.c_cc[VTIME] = 0;
	if (tcsetattr(STDIN_FILENO, TCSADRAIN, &raw))
		return -errno;
	term.taken = 1;
	if (write(STDOUT_FILENO, enter, sizeof(enter) - 1) < 0) {
		give_back();
		return -errno;
	}
	return 0;
}

static void on_crash(int signo)
{
	give_back();
	signal(signo, SIG_DFL);
	raise(signo);
}

static void handle_crashes(void)
{
	struct sigaction act = {.sa_handler = on_crash, .sa_flags = SA_NODEFER};
	size_t i;

	for (i = 0; i < sizeof(crashes) / sizeof(*crashes); i++)
		sigaction(crashes[i], &act, NULL);
}

static void watched_signals(sigset_t *set)
{
	static const int signals[] = {SIGINT,  SIGTERM, SIGHUP,
				      SIGQUIT, SIGTSTP, SIGWINCH};
	size_t i;

	sigemptyset(set);
	for (i = 0; i < sizeof(signals) / sizeof(*signals); i++)
		sigaddset(set, signals[i]);
}

/* The descriptors that wake the loop. */
static int open_events(void)
{
	struct epoll_event in = {.events = EPOLLIN};
	sigset_t set;

	watched_signals(&set);
	sigprocmask(SIG_BLOCK, &set, NULL);
	term.signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	term.epoll = epoll_create1(EPOLL_CLOEXEC);
	if (term.signals < 0 || term.epoll < 0 ||
	    epoll_ctl(term.epoll, EPOLL_CTL_ADD, term.signals, &in) ||
	    epoll_ctl(term.epoll, EPOLL_CTL_ADD, STDIN_FILENO, &in))
		return -errno;
	return 0;
}

int term_open(void)
{
	const char *type = getenv("TERM");
	int error;

	if (!isatty(STDOUT_FILENO) || tcgetattr(STDIN_FILENO, &term.saved) ||
	    (type && !strcmp(type, "dumb")))
		return -ENOTTY;
	error = open_events();
	if (error)
		return error;
	handle_crashes();
	if (!term.atexit_done)
		atexit(term_close);
	term.atexit_done = true;
	return take();
}

void term_close(void)
{
	sigset_t set;

	give_back();
	if (term.epoll >= 0)
		close(term.epoll);
	if (term.signals >= 0)
		close(term.signals);
	if (term.signals >= 0) {
		watched_signals(&set);
		sigprocmask(SIG_UNBLOCK, &set, NULL);
	}
	term.epoll = term.signals = -1;
}

/* ------------------------------------------------------------------ */
/* Events								*/

int term_fd(void)
{
	return term.epoll;
}

int term_end_signal(void)
{
	return term.end_signal;
}

/* Ctrl-Z: stops here, comes back from here. */
static int stop_and_go_on(void)
{
	give_back();
	raise(SIGSTOP);
	tcgetattr(STDIN_FILENO, &term.saved); /* the shell may have set it */
	if (take()) {
		term.end_signal = SIGHUP;
		return TERM_QUIT;
	}
	return TERM_RESIZE;
}

static int signal_event(void)
{
	struct signalfd_siginfo info;

	if (read(term.signals, &info, sizeof(info)) != sizeof(info))
		return TERM_NONE;
	if (info.ssi_signo == SIGWINCH)
		return TERM_RESIZE;
	if (info.ssi_signo == SIGTSTP)
		return stop_and_go_on();
	term.end_signal = (int)info.ssi_signo;
	return TERM_QUIT;
}

static const struct {
	const char *text;
	int key;
} sequences[] = {
	{"\033[A", TERM_UP},	   {"\033[B", TERM_DOWN},
	{"\033[C", TERM_RIGHT},	   {"\033[D", TERM_LEFT},
	{"\033OA", TERM_UP},	   {"\033OB", TERM_DOWN},
	{"\033OC", TERM_RIGHT},	   {"\033OD", TERM_LEFT},
	{"\033[5~", TERM_PAGE_UP}, {"\033[6~", TERM_PAGE_DOWN},
	{"\033[H", TERM_HOME},	   {"\033[F", TERM_END},
	{"\033[1~", TERM_HOME},	   {"\033[4~", TERM_END},
	{"\t", TERM_TAB},	   {"\r", TERM_ENTER},
	{"\n", TERM_ENTER},
};

static void drop_input(size_t n)
{
	term.length -= n;
	memmove(term.input, term.input + n, term.length);
}

/* Length of the unknown sequence at the start of the input. */
static size_t unknown_length(void)
{
	size_t n = 2;

	if (term.length < 2 || term.input[0] != '\033' ||
	    (term.input[1] != '[' && term.input[1] != 'O'))
		return 1;
	while (n < term.length && (term.input[n] < '@' || term.input[n] > '~'))
		n++;
	return n < term.length ? n + 1 : n;
}

/* The key at the start of the input; TERM_NONE: none that we know. */
static int take_key(void)
{
	unsigned char first = (unsigned char)term.input[0];
	size_t i, n;

	for (i = 0; i < sizeof(sequences) / sizeof(*sequences); i++) {
		n = strlen(sequences[i].text);
		if (n <= term.length &&
		    !memcmp(term.input, sequences[i].text, n)) {
			drop_input(n);
			return sequences[i].key;
		}
	}
	n = unknown_length();
	drop_input(n);
	if (first == '\033' && n == 1)
		return TERM_ESCAPE;
	return first >= ' ' && first < 0x7f ? first : TERM_NONE;
}

/* Reads what is there; false: the terminal is gone. */
static bool read_input(void)
{
	struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
	ssize_t n;

	if (poll(&in, 1, 0) <= 0)
		return true;
	n = in.revents & POLLIN
		    ? read(STDIN_FILENO, term.input, sizeof(term.input))
		    : 0;
	term.length = n > 0 ? (size_t)n : 0;
	return n > 0 || (n < 0 && errno == EINTR);
}

static int key_event(void)
{
	int key;

	if (term.length == 0 && !read_input()) {
		term.end_signal = SIGHUP;
		return TERM_QUIT;
	}
	while (term.length > 0) {
		key = take_key();
		if (key != TERM_NONE)
			return key;
	}
	return TERM_NONE;
}

int term_event(void)
{
	int event = signal_event();

	return event != TERM_NONE ? event : key_event();
}

void term_size(unsigned *rows, unsigned *columns)
{
	struct winsize size;
	bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 &&
		     size.ws_row > 0 && size.ws_col > 0;

	*rows = known ? size.ws_row : 24;
	*columns = known ? size.ws_col : 80;
}

bool term_utf8(void)
{
	setlocale(LC_CTYPE, "");
	return !strcmp(nl_langinfo(CODESET), "UTF-8");
}
