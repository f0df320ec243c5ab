#!/bin/sh
# Stands in for a program that remediation steps call. It notes its name and arguments, each ended by NUL, in a file of
# its own in the folder of the step's line (two sides of a pipe write at once), and answers what the rest needs.
printf '%s\0' "$(($# + 1))" "${0##*/}" "$@" >>"$CALLS/$LINE/$$"
case "${0##*/} $1 $2" in
'aws iam get-instance-profile') echo stub-profile-arn ;;
'aws iam list-role-policies') echo 'stub-policy-1 stub-policy-2' ;;
'aws ec2 describe-regions') echo 'stub-region-1 stub-region-2' ;;
'aws iam list-users') echo 'stub-user-1 stub-user-2' ;;
'aws iam list-access-keys') case "$*" in *'[].AccessKeyId'*) echo STUBACCESSKEY0001 ;; esac ;;
'aws iam generate-credential-report') echo COMPLETE ;;
'aws cloudtrail describe-trails') case "$*" in *TrailARN*) echo stub-trail-arn ;; esac ;;
'aws organizations create-policy') case "$*" in *--query*) echo p-stubbedpolicy ;; esac ;;
base64\ *)
    while read -r _; do :; done
    echo stub-base64
    ;;
curl\ *) echo stub-token ;;
date\ *) echo 2026-02-03T04:05:06Z ;;
esac
