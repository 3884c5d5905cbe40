/* SPDX-License-Identifier: MIT */
/* support/nobody.h - a process without privileges. */
#ifndef VVM_NOBODY_H
#define VVM_NOBODY_H

/*
 * Becomes an ordinary user for good, with no capability, if it is not one
 * already: userfaultfd serves user-mode faults only from then on.
 */
void become_nobody(void);

#endif
