/* SPDX-License-Identifier: MIT */
/*
 * policy/intent.h - will the pages that are read into a region be written soon?
 *
 * Pure; state of one region, all fields atomic, no lock.
 */
#ifndef VVM_INTENT_H
#define VVM_INTENT_H

#include "base.h"

struct intent {
	uint32_t filled;  /* (a) pages filled write-protected of late */
	uint32_t written; /* (a) of these, written soon after */
	uint32_t turn;	  /* (a) fills since `on` was set */
	uint32_t on;	  /* (a) pages are expected to be written */
};

/* One fill for reading begins. True: fill it for writing, it is expected. */
bool intent_ask(struct intent *in);
/* n pages were filled write-protected. */
void intent_filled(struct intent *in, uint32_t n);
/* One of them was written while it was still new. */
void intent_written(struct intent *in);

#endif
