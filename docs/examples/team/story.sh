#!/bin/sh
# Ana starts a run and leaves, Ben answers it, a worker ends it: three machines, which share a folder and nothing else.
# Here a machine is a directory, and all of them are made in DIR, which must not be there yet:
#
#     sh docs/examples/team/story.sh DIR
#
# Put s3://BUCKET/PREFIX in the place of the folder, and they may stand anywhere.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
mkdir "$1"
place=$(cd "$1" && pwd)
remote=$place/shared

# Type a command as somebody, on that one's machine.
as() {
    who=$1
    shift
    printf '\n%s$ kitaru %s\n' "$who" "$*"
    (cd "$place/$who" && LOGNAME=$who kitaru "$@" </dev/null)
}

mkdir "$place/ana"
cp "$here/report.py" "$place/ana"
as ana init
as ana remote add team "$remote"
# Status 3 says that the run stopped at a question, which is what this one is to do.
as ana run report.py:report topic=tides || [ $? -eq 3 ]
as ana push

cd "$place"
for machine in ben server; do
    printf '\n%s$ kitaru clone %s %s\n' "$machine" "$remote" "$machine"
    kitaru clone "$remote" "$machine" --name team
done

# Ben has none of the code: he answers, and leaves the rest to the worker.
as ben waits
as ben answer @ approve true --no-resume
as ben push

# A worker executes what somebody here has looked at, and nothing else.
as server trust report@v1 --yes
as server work --remote team --once

as ana pull
as ana show @

# Ana deploys another version and sends the route `stable` to it. Whoever starts report@stable gets it, from the queue too.
sed 's/All that/Most of what/' "$here/report.py" >"$place/ana/report.py"
as ana deploy report.py:report --route stable --note "less is more"
as ana invoke report@stable topic=moons --queue
as ana push
as server pull
as server trust report@v2 --yes
as server work --remote team --once
as ana pull
as ana waits
