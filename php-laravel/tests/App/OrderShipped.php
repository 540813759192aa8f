<?php

declare(strict_types=1);

namespace Snug\Laravel\Tests\App;

use Illuminate\Broadcasting\Channel;
use Illuminate\Broadcasting\InteractsWithSockets;
use Illuminate\Contracts\Broadcasting\ShouldBroadcast;

/** An event of the test application. */
final class OrderShipped implements ShouldBroadcast
{
    use InteractsWithSockets;

    /** @var list<Channel> */
    private array $channels;

    public function __construct(public int $order, Channel ...$channels)
    {
        $this->channels = $channels;
    }

    /** @return list<Channel> */
    public function broadcastOn(): array
    {
        return $this->channels;
    }
}
