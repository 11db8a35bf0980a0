"""活跃会员数为零时失败。"""
import sys

from lib.counts import active_members

if active_members(sys.argv[1]) == 0:
    sys.exit("no active members")
