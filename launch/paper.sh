#!/bin/sh
# The paper's tables on the embedded world, each run in a process of its own, figure 11,
# and one page of it all: <workdir>/paper/paper.html. Arguments go to every run, --workdir first:
#   launch/paper.sh --workdir=runs --config.seeds=1,2
set -e
python=${PYTHON:-python}
workdir=${1:---workdir=runs}
failed=0
for run in table1 table2 table3 table4:hard table4:full table4:ms table4:mr \
  table5:small table5:large table6; do
  name=${run%%:*}
  part=${run#"$name"}
  # A run that fails does not stop the others; the page says what is missing.
  "$python" -m fdbpl_jax.main --config="configs/paper/$name.py$part" "$workdir" "$@" ||
    failed=1
done
folder=${workdir#--workdir=}
"$python" -m fdbpl_jax.visualize \
  --cell="$folder/paper/table4/mr/shapes-negative/coop+fdbpl/seed1" \
  --data_root="$folder/shapes" --picture="$folder/paper/figure11.png" || failed=1
"$python" -m fdbpl_jax.paper "$workdir"
exit $failed
