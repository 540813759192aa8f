// The Worker: Snug alone. The README of snug-worker shows how to add routes and hooks.

export { default, Gateway, Room } from "snug-worker";
