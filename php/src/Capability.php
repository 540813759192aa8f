<?php

declare(strict_types=1);

namespace Snug;

/** One thing that a token allows in a room. */
enum Capability: string
{
    /** Being sent messages and signals. */
    case Receive = 'receive';
    /** Publishing messages. */
    case Publish = 'publish';
    /** Sending signals, such as "is typing". */
    case Signal = 'signal';
    /** Seeing who is here, and showing a state of one's own. */
    case Presence = 'presence';
    /** Reading stored messages. */
    case History = 'history';
    /** Kicking and banning. */
    case Moderate = 'moderate';
    /** Acting for the back end. Never for a browser: it publishes in anybody's name, and erases rooms. */
    case Serve = 'serve';
}
