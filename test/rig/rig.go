// Package rig is edge on a real kernel: the program for arm64 runs in a virtual
// machine whose GPIO lines are gpio-sim's, and tests on the host pull the lines and
// speak MQTT. `make rig` runs them; see docs/rig.md. All is in its tests.
package rig
