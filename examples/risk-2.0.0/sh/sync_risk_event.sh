#!/bin/sh
# 抽取风险事件至贴源层落地目录
set -eu
bizdate=${1:?用法: sync_risk_event.sh yyyyMMdd}
exec spark-submit --queue root.risk jobs/sync_risk_event.py --date "$bizdate"
