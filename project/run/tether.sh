# Becomes the command it is given and leaves a watcher behind, which ends that command when our standard input does.
# project/run/child.py holds the other end of the input, and nobody else does.
exec 3<&0
{
  read -r _
  # The command's number stays its own: the watcher is in its process group, which bears that number.
  kill $$
  for _ in 1 2 3 4 5 6 7 8; do for _ in 1 2 3 4 5; do
    # A dead process that nobody has buried still has its number, but on Linux no longer its program.
    kill -0 $$ && { [ ! -e /proc/self/exe ] || [ -e /proc/$$/exe ]; } || exit
    sleep 0.2
  done; done
  kill -9 $$
} <&3 3<&- >/dev/null 2>&1 &
exec "$@" 3<&- </dev/null
