/* SPDX-License-Identifier: MIT */
/*
 * support/engine_app.h - threads and processes beside the test, on
 * support/engine.h's space: an application that faults, and children that
 * must abort.
 */
#ifndef VVM_ENGINE_APP_H
#define VVM_ENGINE_APP_H

#include <pthread.h>

#include "support/engine.h"

struct app {
	pthread_t thread;
	volatile uint64_t *at; /* atomics of a sanitizer's take its locks */
	uint64_t value;	       /* read, or to be written */
	bool write;
	int signal; /* that it ended in, 0: none */
	_Atomic bool done;
};

/* A thread reads, or writes `value` to, the first word of the page. */
void app_start(struct app *a, gaddr_t addr, bool write, uint64_t value);

/* Its event, waited for. */
struct os_fault app_event(void);

void app_join(struct app *a);
/* Runs fn(arg) in a child; returns its wait status. */
int engine_child(void (*fn)(int), int arg);

#endif
