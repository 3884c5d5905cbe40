/* SPDX-License-Identifier: MIT */
/*
 * api/unload.c - "the library was unloaded with dlclose(), then a thread
 * ended, and the process crashed": a plugin that uses a space, in a program
 * that knows nothing of it. Its thread-specific data, fork handlers and signal
 * handlers are called for as long as the process lives.
 *
 * Runs in the build directory, whose shared library it loads.
 */
#include "support/sanitizer.h"
#include "support/test.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vvm.h>
#include <vvm_heap.h>

enum { THREADS = 3, OBJECTS = 200, OBJECT_BYTES = 20000 };

static const char library[] = "lib/.libs/libvvm.so";

/* What a plugin looks up. */
struct api {
	void *handle;
	__typeof__(&vvm_options_init) options_init;
	__typeof__(&vvm_open) open;
	__typeof__(&vvm_close) close;
	__typeof__(&vvm_heap_open) heap_open;
	__typeof__(&vvm_heap_close) heap_close;
	__typeof__(&vvm_malloc) malloc;
	__typeof__(&vvm_free) free;
};

static bool load(struct api *api)
{
	api->handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
	if (!api->handle) {
		printf("%s\n", dlerror());
		return false;
	}
#define GET(name) \
	api->name = (__typeof__(api->name))dlsym(api->handle, "vvm_" #name)
	GET(options_init);
	GET(open);
	GET(close);
	GET(heap_open);
	GET(heap_close);
	GET(malloc);
	GET(free);
#undef GET
	return api->options_init && api->open && api->close && api->heap_open &&
	       api->heap_close && api->malloc && api->free;
}

/* Allocates more than fits, and frees half of it. */
static void use_heap(const struct api *api, struct vvm_heap *heap)
{
	unsigned i;

	for (i = 0; i < OBJECTS; i++) {
		char *object = api->malloc(heap, OBJECT_BYTES);

		ck_assert_ptr_nonnull(object);
		memset(object, (int)i, OBJECT_BYTES);
		if (i % 2)
			api->free(heap, object);
	}
}

/* The life of a plugin; arg: &enum vvm_faults. */
static void *plug(void *arg)
{
	struct vvm_options options;
	struct vvm_heap *heap;
	struct api api;
	struct vvm *vm;
	int rc;

	ck_assert(load(&api));
	api.options_init(&options);
	options.resident_bytes = 1 << 20;
	options.faults = *(enum vvm_faults *)arg;
	options.fork = VVM_FORK_INHERIT;
	rc = api.open(&vm, &options);
	if (rc == -EPERM && options.faults == VVM_FAULTS_INLINE)
		return NULL; /* no userfaultfd, as in a container */
	ck_assert_int_eq(rc, 0);
	ck_assert_int_eq(api.heap_open(vm, NULL, &heap), 0);
	use_heap(&api, heap);
	api.heap_close(heap);
	ck_assert_int_eq(api.close(vm), 0);
	ck_assert_int_eq(dlclose(api.handle), 0);
	return NULL;
}

static void plug_in_threads(enum vvm_faults faults)
{
	pthread_t thread[THREADS];
	unsigned i;

	for (i = 0; i < THREADS; i++)
		ck_assert_int_eq(
			pthread_create(&thread[i], NULL, plug, &faults), 0);
	for (i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_join(thread[i], NULL), 0);
}

static int child_status(pid_t pid)
{
	int status;

	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return status;
}

START_TEST(threads_end_and_processes_fork)
{
	unsigned round;
	pid_t pid;

	for (round = 0; round < 5; round++) {
		plug_in_threads((enum vvm_faults)_i);
		pid = fork();
		ck_assert_int_ge(pid, 0);
		if (pid == 0)
			_exit(0);
		ck_assert_int_eq(child_status(pid), 0);
	}
}
END_TEST

/* SIGBUS is as deadly as ever, and not by way of code that has gone. */
START_TEST(signals_are_the_programs)
{
	enum vvm_faults faults = (enum vvm_faults)_i;
	int status;
	pid_t pid;

	plug(&faults);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		raise(SIGBUS);
		_exit(0);
	}
	status = child_status(pid);
	if (LIVE_SANITIZED) { /* its own handler reports it and exits */
		ck_assert_int_ne(status, 0);
		return;
	}
	ck_assert(WIFSIGNALED(status));
	ck_assert_int_eq(WTERMSIG(status), SIGBUS);
}
END_TEST

/* May this process page, and is there a shared library? */
static bool possible(void)
{
	struct vvm_options options;
	struct api api;
	struct vvm *vm;
	int rc;

	if (access(library, R_OK) != 0) {
		printf("SKIP: no %s\n", library);
		return false;
	}
	if (!load(&api))
		return true; /* the tests say so */
	api.options_init(&options);
	options.resident_bytes = 1 << 20;
	rc = api.open(&vm, &options);
	if (rc == 0)
		api.close(vm);
	else
		printf("SKIP: vvm_open: %s\n", strerror(-rc));
	return rc == 0;
}

/* In a child, so that the tests begin without the library. */
static const char *missing(void)
{
	pid_t pid;
	int status;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		bool yes = possible();

		fflush(stdout);
		_exit(yes ? 0 : 1);
	}
	if (pid > 0 && waitpid(pid, &status, 0) == pid && status == 0)
		return NULL;
	return "see above";
}

static void add_tests(Suite *suite)
{
	TCase *tc = test_case(suite, "unload");

	tcase_add_loop_test(tc, threads_end_and_processes_fork, 0, 2);
	tcase_add_loop_test(tc, signals_are_the_programs, 0, 2);
}

const struct test_program test_program = {
	.name = "unload",
	.add = add_tests,
	.missing = missing,
};
