#!/bin/sh
# Runs every method of configs/methods.py in a separate process, so that the report's peak
# memory is that of the method alone; then writes one report. Arguments after the config
# are passed to fdbpl_jax.main:
#   launch/methods.sh configs/methods.py:eurosat --workdir=methods --config.data.root=DATA
set -e
config=${1:?a config, such as configs/methods.py}
shift
methods=$(python -c "from configs.methods import get_config
print(get_config().methods.replace(',', ' '))")
for method in $methods; do
  python -m fdbpl_jax.main --config="$config" --only="$method" "$@"
done
python -m fdbpl_jax.main --config="$config" "$@"
