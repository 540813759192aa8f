<?php

declare(strict_types=1);

namespace Snug\Laravel\Facades;

use Illuminate\Support\Facades\Facade;
use Snug\Laravel\SnugManager;

/**
 * Calls the application's `SnugManager`.
 *
 * @method static \Snug\Room channel(string|object $channel)
 * @method static \Snug\Room room(string $name)
 * @method static list<\Snug\PublishResult> publishTo(array $rooms, \Snug\NewMessage ...$messages)
 * @method static \Snug\Snug client()
 * @method static \Snug\TokenIssuer tokens()
 * @method static \Snug\Webhook webhook()
 * @method static string url()
 * @method static \Snug\Laravel\Testing\SnugFake fake()
 * @method static list<\Snug\Message> published(string|object $channel, ?string $event = null)
 * @method static void assertPublished(string|object $channel, ?string $event = null, ?\Closure $matches = null)
 * @method static void assertNotPublished(string|object $channel, ?string $event = null, ?\Closure $matches = null)
 * @method static void assertNothingPublished()
 * @method static void assertKicked(string|object $channel, int|string $user)
 * @method static void assertBanned(string|object $channel, int|string $user)
 *
 * @see SnugManager
 */
final class Snug extends Facade
{
    protected static function getFacadeAccessor(): string
    {
        return SnugManager::class;
    }
}
