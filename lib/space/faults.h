/* SPDX-License-Identifier: MIT */
/*
 * space/faults.h - which of the ways to be told of page faults is possible here.
 */
#ifndef VVM_FAULTS_H
#define VVM_FAULTS_H

#include "util/conf.h"

/*
 * Makes VVM_FAULTS_AUTO one of the others: handler threads where there is a
 * userfaultfd to be had, else guard pages. -EPERM, -ENOSYS: neither; -EMFILE,
 * -ENFILE, -ENOMEM.
 */
int faults_choose(struct conf *conf);

#endif
