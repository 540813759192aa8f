<?php

declare(strict_types=1);

namespace Snug\Laravel\Tests;

use Snug\Laravel\Facades\Snug;

/** Tests the PHP examples of the README, one after the other in one application. */
final class ReadmeTest extends LaravelTestCase
{
    public function testTheExamplesWork(): void
    {
        $text = (string) file_get_contents(__DIR__ . '/../README.md');
        preg_match_all('/^```php\n(.*?)^```$/ms', $text, $blocks);
        self::assertCount(5, $blocks[1]);
        [$event, $rules, $features, $listener, $fake] = $blocks[1];
        // Another run may have used the channels.
        Snug::channel('private-orders.1')->delete();
        Snug::channel('presence-chat.1')->delete();

        eval($event);
        $published = Snug::channel('private-orders.1')->history()->messages;
        self::assertSame(['OrderShipped', ['order' => 7]], [$published[0]->event, $published[0]->data]);

        eval($rules);
        $this->actAs('1');
        self::assertSame('1', self::claimsOf($this->token('private-orders.1'))['sub']);
        self::assertSame(['id' => '1', 'name' => '1'], self::claimsOf($this->token('presence-chat.1'))['info']);

        ob_start();
        eval($features);
        self::assertSame('', ob_get_clean());
        self::assertSame('notice', Snug::channel('presence-chat.1')->history()->messages[0]->event);
        eval($listener);
        eval($fake);
    }

    public function testTheSettingsAreComplete(): void
    {
        $readme = (string) file_get_contents(__DIR__ . '/../README.md');
        preg_match_all("/env\('(\w+)'/", (string) file_get_contents(__DIR__ . '/../config/snug.php'), $variables);
        self::assertGreaterThan(8, count($variables[1]));
        foreach ($variables[1] as $variable) {
            self::assertStringContainsString("`$variable`", $readme);
        }
    }
}
