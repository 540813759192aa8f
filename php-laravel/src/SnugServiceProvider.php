<?php

declare(strict_types=1);

namespace Snug\Laravel;

use Illuminate\Broadcasting\BroadcastManager;
use Illuminate\Contracts\Foundation\Application;
use Illuminate\Support\ServiceProvider;
use Snug\Laravel\Console\CheckCommand;
use Snug\Laravel\Console\InstallCommand;
use Snug\Snug;
use Snug\TokenIssuer;
use Snug\Webhook;

/** Registers the broadcaster, the clients, the webhook route and the artisan commands. */
final class SnugServiceProvider extends ServiceProvider
{
    public function register(): void
    {
        $this->mergeConfigFrom(__DIR__ . '/../config/snug.php', 'snug');
        $this->mergeConfigFrom(__DIR__ . '/../config/connections.php', 'broadcasting.connections');
        $this->app->singleton(SnugManager::class);
        // For those who prefer the classes of the PHP package.
        $this->app->bind(Snug::class, static fn (Application $app): Snug => $app->make(SnugManager::class)->client());
        $this->app->bind(
            TokenIssuer::class,
            static fn (Application $app): TokenIssuer => $app->make(SnugManager::class)->tokens(),
        );
        $this->app->bind(
            Webhook::class,
            static fn (Application $app): Webhook => $app->make(SnugManager::class)->webhook(),
        );
        $this->callAfterResolving(BroadcastManager::class, static function (BroadcastManager $manager): void {
            $create = static fn (Application $app): SnugBroadcaster => $app->make(SnugBroadcaster::class);
            $manager->extend('snug', $create);
        });
    }

    public function boot(): void
    {
        $this->loadRoutesFrom(__DIR__ . '/../routes/webhook.php');
        if ($this->app->runningInConsole()) {
            $this->publishes([__DIR__ . '/../config/snug.php' => $this->app->configPath('snug.php')], 'snug-config');
            $this->commands([InstallCommand::class, CheckCommand::class]);
        }
    }
}
