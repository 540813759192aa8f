<?php

declare(strict_types=1);

namespace Snug\Laravel;

use InvalidArgumentException;

/**
 * Names of Laravel's channels, and of the rooms that they are.
 *
 * A room has the full name of its channel, with the prefix that says who may join: `private-orders.1`,
 * `presence-chat.1`, and `public-` for public channels, which have no prefix in Laravel: `public-news`.
 */
final class ChannelName
{
    /** The prefix of the rooms of public channels. A token that grants `public-*` grants no other room. */
    public const PUBLIC_PREFIX = 'public-';

    private const GUARDED_PREFIXES = ['private-', 'presence-'];
    private const LENGTH_MAX = 128;

    /**
     * Returns the name of a channel's room.
     *
     * @param string $channel The full name, such as `private-orders.1`.
     *
     * @throws InvalidArgumentException If the channel cannot be a room.
     */
    public static function toRoom(string $channel): string
    {
        if (str_starts_with($channel, 'private-encrypted-')) {
            throw new InvalidArgumentException(
                "Snug has no encrypted channels, and would store '$channel' in plain text: use a private channel",
            );
        }
        $room = self::isGuarded($channel) ? $channel : self::PUBLIC_PREFIX . $channel;
        // Also keeps out `*`, which would match other rooms in a token.
        if ($channel === '' || preg_match('/^[A-Za-z0-9_.:@~-]+$/D', $channel) !== 1) {
            throw new InvalidArgumentException(
                "the channel name '$channel' must consist of A-Z a-z 0-9 _ - . : @ ~",
            );
        }
        if (strlen($room) > self::LENGTH_MAX) {
            throw new InvalidArgumentException(sprintf(
                "the channel name '%s' must be at most %d bytes long with its prefix; it has %d",
                $channel,
                self::LENGTH_MAX,
                strlen($room),
            ));
        }
        return $room;
    }

    /** Returns the full name of a room's channel. Null if the room is not a channel. */
    public static function fromRoom(string $room): ?string
    {
        if (str_starts_with($room, self::PUBLIC_PREFIX)) {
            return substr($room, strlen(self::PUBLIC_PREFIX));
        }
        return self::isGuarded($room) ? $room : null;
    }

    /** Returns true if a rule in routes/channels.php decides who may join. */
    public static function isGuarded(string $channel): bool
    {
        foreach (self::GUARDED_PREFIXES as $prefix) {
            if (str_starts_with($channel, $prefix)) {
                return true;
            }
        }
        return false;
    }

    /** Returns true if the channel has members that see each other. */
    public static function isPresence(string $channel): bool
    {
        return str_starts_with($channel, 'presence-');
    }
}
