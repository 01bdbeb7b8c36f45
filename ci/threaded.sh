#!/bin/sh
# The names of those of the given programs in which a second thread can run: each refers to
# a call that starts one. What a program links, it links whole, so a call that is not among
# its symbols is not in it. Libraries that start threads by themselves are not used for it.
set -eu
for program in "$@"; do
	if nm --undefined-only "$program" |
		grep -qE ' (uv_queue_work|uv_thread_create|uv_getaddrinfo|uv_getnameinfo|uv_fs_[a-z]+|uv_random|pthread_create|thrd_create|mosquitto_loop_start|mosquitto_threaded_set)(@|$|_)'; then
		basename "$program"
	fi
done
