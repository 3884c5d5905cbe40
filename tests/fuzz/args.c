/* SPDX-License-Identifier: MIT */
#include "fuzz/args.h"

#include <setjmp.h>
#include <string.h>
#include "common/tool.h"

static jmp_buf out;
static bool inside;

/* What is left by longjmp() does not free what it has. */
int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void)
{
	return 1;
}

bool args_running(void)
{
	return inside;
}

_Noreturn void args_leave(void)
{
	MUST(inside);
	longjmp(out, 1);
}

_Noreturn void __real_exit(int status);
_Noreturn void __wrap_exit(int status);
_Noreturn void __wrap_exit(int status)
{
	if (inside)
		longjmp(out, 1);
	__real_exit(status);
}

/* Writes the arguments into text and points arg at them. */
void args_make(struct args *a, const uint8_t *data, size_t size)
{
	const size_t most = sizeof(a->text) - 32;
	size_t i, at = 0;
	int n = 0;

	a->arg[n++] = a->text;
	at = (size_t)sprintf(a->text, "%s", args_program) + 1;
	a->arg[n] = a->text + at;
	for (i = 0; i < size && at < most && n < ARGS_MAX; i++) {
		if (data[i] == '\n') {
			a->text[at++] = '\0';
			a->arg[++n] = a->text + at;
		} else if (data[i] < 32) {
			at += (size_t)sprintf(
				a->text + at, "%s",
				args_words[data[i] % args_word_count]);
		} else {
			a->text[at++] = (char)data[i];
		}
	}
	a->text[at++] = '\0';
	n += a->arg[n][0] != '\0';
	a->arg[n] = NULL;
	a->count = n;
}

static void set_up(void)
{
	static bool done;

	if (done)
		return;
	done = true;
	tool_init(args_program, TOOL_USAGE);
#ifndef VVM_LIBFUZZER /* which has -close_fd_mask, and words of its own */
	MUST(freopen("/dev/null", "w", stdout));
	MUST(freopen("/dev/null", "w", stderr));
#endif
}

bool args_run(int (*run)(int argc, char **argv), struct args *a)
{
	volatile bool ended = false;

	set_up();
	inside = true;
	if (setjmp(out) == 0) {
		run(a->count, a->arg);
		ended = true;
	}
	inside = false;
	return ended;
}

size_t fuzz_make(uint8_t *data, size_t most)
{
	static const char letters[] = "\n\n\n-=,.x019afkM%";
	size_t size = 1 + fuzz_random() % 24, i;

	MUST(size <= most);
	for (i = 0; i < size; i++)
		data[i] = fuzz_random() % 2
				  ? (uint8_t)(fuzz_random() % 32)
				  : (uint8_t)letters[fuzz_random() %
						     (sizeof(letters) - 1)];
	return size;
}
