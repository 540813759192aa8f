<?php

declare(strict_types=1);

namespace Snug\Laravel\Http;

use Illuminate\Contracts\Cache\Repository as Cache;
use Illuminate\Contracts\Config\Repository as Config;
use Illuminate\Contracts\Events\Dispatcher;
use Illuminate\Http\Request;
use Illuminate\Http\Response;
use Snug\Laravel\ChannelName;
use Snug\Laravel\Events\MemberJoined;
use Snug\Laravel\Events\MemberLeft;
use Snug\Laravel\Events\MessagePublished;
use Snug\Laravel\Events\RoomOccupied;
use Snug\Laravel\Events\RoomVacated;
use Snug\Laravel\SnugManager;
use Snug\RoomEvent;
use Snug\WebhookVerificationException;

/**
 * Receives webhooks, and fires an event of Laravel for each event in them.
 *
 * Snug retries a delivery until it gets a 2xx response. The cache records each event once its listeners have finished,
 * so that a retry handles only the remaining events.
 */
final class WebhookController
{
    /** Snug repeats a delivery for a day. */
    private const REMEMBERED_SECONDS = 90_000;

    public function __construct(
        private SnugManager $snug,
        private Config $config,
        private Dispatcher $events,
        private Cache $cache,
    ) {
    }

    public function __invoke(Request $request): Response
    {
        if (!$this->config->get('snug.webhook.secret')) {
            return new Response('SNUG_WEBHOOK_SECRET is not set', 404, ['Content-Type' => 'text/plain']);
        }
        try {
            $delivery = $this->snug->webhook()->events($request->getContent(), $request->headers->all());
        } catch (WebhookVerificationException $e) {
            return new Response($e->getMessage(), 401, ['Content-Type' => 'text/plain']);
        }
        foreach ($delivery->events as $event) {
            $key = 'snug:event:' . hash('sha256', "$delivery->room $event->id");
            if ($this->cache->has($key)) {
                continue;
            }
            $this->fire($delivery->room, $event);
            $this->cache->put($key, true, self::REMEMBERED_SECONDS);
        }
        return new Response('', 204);
    }

    private function fire(string $room, RoomEvent $event): void
    {
        $channel = ChannelName::fromRoom($room);
        $fired = match ($event->type) {
            'room.occupied' => new RoomOccupied($room, $channel, $event),
            'room.vacated' => new RoomVacated($room, $channel, $event),
            'member.joined' => new MemberJoined($room, $channel, (string) $event->user, $event->info, $event),
            'member.left' => new MemberLeft($room, $channel, (string) $event->user, $event),
            'message.published' => new MessagePublished($room, $channel, $event->message, $event),
            // Later versions of Snug may add types.
            default => null,
        };
        if ($fired !== null) {
            $this->events->dispatch($fired);
        }
    }
}
