/* SPDX-License-Identifier: MIT */
/*
 * inject/guest.c - the program that inject/run.c runs under vvmrun. It knows
 * nothing of libvvm. It uses several times the memory that it may, and forks; what
 * it has seen it says by its exit status: 0, or 99 for wrong data. Without
 * memory it ends with 3.
 */
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	BLOCKS = 8,
	WORDS = 20000,	/* of a block: inline mode pages from 128 KiB on */
	LARGE = 300000, /* bytes */
};

static uint64_t *block[BLOCKS];

static uint64_t value_of(int i, int word, int version)
{
	return (uint64_t)(i + 1) * 1000003 + (uint64_t)word * 7 +
	       (uint64_t)version * 1000000007;
}

static void *need(void *p)
{
	if (!p)
		_exit(3);
	return p;
}

static void fill(int i, int version)
{
	for (int w = 0; w < WORDS; w++)
		block[i][w] = value_of(i, w, version);
}

static void check(int i, int version)
{
	for (int w = 0; w < WORDS; w++) {
		if (block[i][w] == value_of(i, w, version))
			continue;
		fprintf(stderr, "guest: block %d, word %d is wrong\n", i, w);
		_exit(99);
	}
}

static void check_zero(void)
{
	unsigned char *p = need(calloc(1, LARGE));

	for (int i = 0; i < LARGE; i++)
		if (p[i])
			_exit(99);
	memset(p, 0x55, LARGE);
	p = need(realloc(p, 2 * (size_t)LARGE));
	for (int i = 0; i < LARGE; i++)
		if (p[i] != 0x55)
			_exit(99);
	free(p);
}

static int in_child(void)
{
	for (int i = 0; i < BLOCKS; i++)
		check(i, 1);
	fill(3, 2);
	check(3, 2);
	return 0;
}

/* 0, or it died of the memory that it did not get. */
static void await(pid_t pid)
{
	int status = 0;

	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		_exit(4);
	if (WIFEXITED(status) && WEXITSTATUS(status))
		_exit(WEXITSTATUS(status));
	if (WIFSIGNALED(status) && WTERMSIG(status) != SIGSEGV &&
	    WTERMSIG(status) != SIGBUS && WTERMSIG(status) != SIGABRT)
		_exit(5);
}

int main(void)
{
	pid_t pid;

	alarm(60);
	for (int i = 0; i < BLOCKS; i++) {
		block[i] = need(malloc(WORDS * sizeof(uint64_t)));
		fill(i, 1);
	}
	check_zero();
	pid = fork();
	if (pid == 0)
		_exit(in_child());
	for (int i = 0; i < BLOCKS; i += 2) {
		check(i, 1);
		fill(i, 3);
	}
	await(pid);
	for (int i = 0; i < BLOCKS; i++) {
		check(i, i % 2 ? 1 : 3);
		free(block[i]);
	}
	puts("good");
	return 0;
}
